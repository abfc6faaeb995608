"""What does one message cost? The sender beside its floor and its peers, in one interleaved run."""
