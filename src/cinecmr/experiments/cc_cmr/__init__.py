"""Screening without contrast (CC-CMR): tables, controls and the cohort they are measured on."""
