"""What pages show, from records, checkpoints and images alone: tables, effects of options, difficulty, figures."""
