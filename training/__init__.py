"""Whatever takes gradients: configuration, schedules, losses, steps and the trainer."""
