"""What exists for speed's sake: each kernel computes what its plain form beside it says."""
