"""What people look at: pictures, tables and pages. No arithmetic."""
