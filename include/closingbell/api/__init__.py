"""The API: scores with their evidence, and the market data beside them, as JSON over HTTP. See `main.py`."""
