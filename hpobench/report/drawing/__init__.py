"""What figures are drawn with: styles, scales, labels, panels, downsampling."""
