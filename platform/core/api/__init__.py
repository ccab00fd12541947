"""What every HTTP interface of the platform shares: who asks, what they may, and how an answer or a refusal looks."""
