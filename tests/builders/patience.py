"""How long a test waits for what must come."""

from typing import Final

SECONDS: Final = 60.0
"""What a busy machine may need. It passes only where what is awaited never comes: no test waits for
it in vain, and none takes it for a bound that the product keeps."""
