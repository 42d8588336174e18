"""What holds up everybody: an event loop that is blocked, or threads that are all busy; watched in lab mode only."""
