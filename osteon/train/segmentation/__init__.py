"""Training of segmenters on images with masks of bone and lesions, and the judgement of what they learnt in pixels."""
