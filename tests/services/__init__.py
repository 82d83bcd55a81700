"""The real parts that tests run against: each starts on demand, once per test process, on free ports of 127.0.0.1."""
