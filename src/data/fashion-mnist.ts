/** Fashion-MNIST, articles of clothing (Xiao et al., 2017), in MNIST's layout and counts. Debian's package is dataset-fashion-mnist. */
import type { MnistLike } from "./idx-description.ts";

export const fashionMnist: MnistLike = {
  name: "fashion-mnist",
  inputShape: [1, 28, 28],
  classes: 10,
  mean: 0.286,
  sd: 0.353,
  places: () => ["/usr/share/datasets/fashion-mnist"],
  mirrors: ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
  sha256: {
    trainImages: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    trainLabels: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    testImages: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    testLabels: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
  },
};
