"""The files that containers are built and run with; `longshore deployment` writes them out."""
