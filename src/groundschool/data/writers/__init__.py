"""Writers, one format a file: each takes whole episodes, part by part."""
