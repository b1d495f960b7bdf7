"""What the running kernel is: struct layouts, what it lets a program do, its header tree for BCC."""
