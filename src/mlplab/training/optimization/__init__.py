"""Optimizers and schedules, with settings that differ from member to member."""
