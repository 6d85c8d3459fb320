"""React components that talk to /graphql from the browser itself: live values, the chart, the rule editor."""
