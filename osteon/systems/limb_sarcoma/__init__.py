"""Sarcoma of a limb on MR T1 and CT: data sets, trainings, and what they are worth beside masks that never look."""
