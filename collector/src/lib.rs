//! Holds the agents' streams, fans a question out, concludes
