//! Placeholder; the founder is writing it. `Ingress` implements the adapters' `Intake`.
