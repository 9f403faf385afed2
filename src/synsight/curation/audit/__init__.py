"""What is wrong with the images, captions and splits of a catalog, and whether the captions will pay.

The verb is in `auditing`; a worker that runs one stage does not import it, and with it torch.
"""
