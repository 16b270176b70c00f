//! Many rows of the same kind at once, for the benchmark.

use sqlx::AssertSqlSafe;

use super::Sqlite;
use crate::store::StoreError;

impl Sqlite {
    /// Runs one statement with some blobs bound to it.
    pub(crate) async fn bulk(&self, statement: String, blobs: Vec<Vec<u8>>) -> Result<u64, StoreError> {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for blob in blobs {
            query = query.bind(blob);
        }
        Ok(query.execute(&self.pool).await?.rows_affected())
    }
}
