"""What a login needs: an identity provider and a proxy that verifies its tokens."""
