"""The Feast repository: entities, views and services; `stores/` holds our offline store."""
