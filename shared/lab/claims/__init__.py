"""What is said about engines, pools, sessions and async, each statement put to the test on both editions."""
