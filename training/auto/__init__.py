"""What `brushwork train auto` chooses for a data set, a machine and a time, and why."""
