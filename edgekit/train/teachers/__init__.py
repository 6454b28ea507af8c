"""The stage of a teacher: a classifier's feature maps or a registry model's image embeddings train
the student's encoder.
"""
