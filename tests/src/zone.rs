//! The names of the lab and what they lead to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Result;
use hickory_proto::rr::rdata::{CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

const TTL_SECONDS: u32 = 60;
const LONGEST_CHAIN: usize = 8;

/// The records of one zone.
pub struct Zone {
    apex: Name,
    records: BTreeMap<Name, Vec<Record>>,
}

/// What a zone knows about a question.
pub struct Found {
    /// The records to answer with: the chain of aliases, then the addresses.
    pub records: Vec<Record>,
    /// Whether the name at the end of the chain exists.
    pub name_exists: bool,
}

impl Zone {
    /// An empty zone, such as `lab.example`.
    pub fn new(apex: &str) -> Result<Self> {
        let apex = Name::from_ascii(format!("{apex}."))?;
        let mut zone = Self {
            apex: apex.clone(),
            records: BTreeMap::new(),
        };
        let soa = zone.soa();
        zone.records.insert(apex, vec![soa]);
        Ok(zone)
    }

    /// Adds `address` to `host`, a label below the apex.
    pub fn address(mut self, host: &str, address: IpAddr) -> Result<Self> {
        self.add(host, RData::from(address))?;
        Ok(self)
    }

    /// Makes `alias` another name of `host`, both labels below the apex.
    pub fn alias(mut self, alias: &str, host: &str) -> Result<Self> {
        let canonical = self.name(host)?;
        self.add(alias, RData::CNAME(CNAME(canonical)))?;
        Ok(self)
    }

    /// Answers a question as far as this zone can.
    pub fn find(&self, name: &Name, kind: RecordType) -> Found {
        let mut found = Found {
            records: Vec::new(),
            name_exists: false,
        };
        let mut name = name.to_lowercase();
        for _ in 0..LONGEST_CHAIN {
            let here = self.records.get(&name);
            found.name_exists = here.is_some();
            let here = here.map(Vec::as_slice).unwrap_or_default();
            found
                .records
                .extend(here.iter().filter(|record| record.record_type() == kind).cloned());
            let alias = here.iter().find_map(|record| match &record.data {
                RData::CNAME(canonical) => Some((record, canonical)),
                _ => None,
            });
            let Some((record, canonical)) = alias.filter(|_| kind != RecordType::CNAME) else {
                break;
            };
            found.records.push(record.clone());
            name = canonical.0.to_lowercase();
        }
        found
    }

    /// The record that goes with an answer without answers.
    pub fn soa(&self) -> Record {
        let soa = SOA::new(
            self.apex.clone(),
            self.apex.clone(),
            1,
            3600,
            600,
            86_400,
            TTL_SECONDS,
        );
        Record::from_rdata(self.apex.clone(), TTL_SECONDS, RData::SOA(soa))
    }

    fn add(&mut self, host: &str, data: RData) -> Result<()> {
        let name = self.name(host)?;
        let record = Record::from_rdata(name.clone(), TTL_SECONDS, data);
        self.records.entry(name).or_default().push(record);
        Ok(())
    }

    fn name(&self, host: &str) -> Result<Name> {
        Ok(Name::from_ascii(host)?.append_domain(&self.apex)?)
    }
}
