"""Identity providers that vouch for the people of one tenant (OpenID Connect), and signing in by them."""
