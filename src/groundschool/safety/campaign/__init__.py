"""Rollouts that stop: counted one after the other, until they show harm, or safety, or the cap is reached."""
