//! A process at a vantage point: takes orders, runs probes, reports
