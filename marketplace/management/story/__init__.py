"""The demo story: real data, real people's steps, through the same doors that everybody uses."""
