//! A real Redis Cluster of six processes.
