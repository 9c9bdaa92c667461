"""Who is missed: figures of groups of patients, and their gaps to the rest."""
