"""Many studies, on one machine or a cluster: isolated, recorded one by one, and resumable at any moment."""
