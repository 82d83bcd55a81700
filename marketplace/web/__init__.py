"""The website: thin views over queries and actions, one file per part of the site."""
