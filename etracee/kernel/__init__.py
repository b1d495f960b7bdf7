"""What the running kernel is: struct layouts, and what it lets a program do."""
