"""What paylatch is made of that others wrote: exact versions, the hashes of their files, and a bill of materials."""
