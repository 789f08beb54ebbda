"""The Dash app: reads documents and draws them; computes no aggregate."""
