//! From the observations of several vantage points to a verdict, and to the experiment that would tell candidates apart
