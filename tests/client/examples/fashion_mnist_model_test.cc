#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "fashion_mnist/model.h"
#include "fashion_mnist/random.h"

namespace fashion {
namespace {

// The sum of the losses of a batch by the book, in double precision, from the layout that model.h promises.
double LossOf(const std::vector<double>& parameters, const Batch& batch, size_t inputs, size_t hidden, size_t classes) {
  double loss = 0;
  for (size_t image = 0; image < batch.count(); ++image) {
    std::vector<double> values(batch.inputs.begin() + static_cast<std::ptrdiff_t>(image * inputs),
                               batch.inputs.begin() + static_cast<std::ptrdiff_t>((image + 1) * inputs));
    const double* weights = parameters.data();
    for (const size_t outputs : {hidden, classes}) {
      if (outputs == 0) continue;
      std::vector<double> sums(weights + values.size() * outputs, weights + (values.size() + 1) * outputs);
      for (size_t i = 0; i < values.size(); ++i) {
        for (size_t j = 0; j < outputs; ++j) sums[j] += values[i] * weights[i * outputs + j];
      }
      weights += (values.size() + 1) * outputs;
      if (outputs == hidden) {
        for (double& sum : sums) sum = std::max(sum, 0.0);
      }
      values = sums;
    }
    double total = 0;
    for (const double score : values) total += std::exp(score);
    loss += std::log(total) - values[batch.labels[image]];
  }
  return loss;
}

Batch RandomBatch(size_t images, size_t inputs, size_t classes) {
  Random random(7);
  Batch batch;
  batch.inputs.resize(images * inputs);
  for (float& input : batch.inputs) input = 2 * random.NextFloat() - 1;
  for (size_t i = 0; i < images; ++i) batch.labels.push_back(static_cast<uint8_t>(random.Below(classes)));
  return batch;
}

void ExpectGradientOfFiniteDifferences(size_t inputs, size_t hidden, size_t classes, size_t images) {
  Model model(inputs, hidden, classes);
  const Batch batch = RandomBatch(images, inputs, classes);
  std::vector<float> parameters = model.InitialParameters(3);
  Random random(11);
  for (float& parameter : parameters) parameter += 0.1F * (random.NextFloat() - 0.5F);  // biases too
  std::vector<double> at(parameters.begin(), parameters.end());
  ASSERT_EQ(at.size(), hidden == 0 ? (inputs + 1) * classes : (inputs + 1) * hidden + (hidden + 1) * classes);

  std::vector<float> gradient(parameters.size(),
                              NAN);  // every element must be written
  const float scale = 0.25F;
  const double loss = model.Gradient(parameters, batch, scale, gradient);
  EXPECT_NEAR(loss, LossOf(at, batch, inputs, hidden, classes), 1e-4);
  for (size_t i = 0; i < at.size(); ++i) {
    constexpr double kStep = 1e-6;
    const double middle = at[i];
    at[i] = middle + kStep;
    const double above = LossOf(at, batch, inputs, hidden, classes);
    at[i] = middle - kStep;
    const double below = LossOf(at, batch, inputs, hidden, classes);
    at[i] = middle;
    ASSERT_NEAR(gradient[i], scale * (above - below) / (2 * kStep), 1e-5) << "parameter " << i;
  }
}

TEST(FashionMnistModel, SoftmaxGradientEqualsFiniteDifferences) { ExpectGradientOfFiniteDifferences(13, 0, 10, 9); }

// 19 hidden units: one panel of columns and a piece of the next.
TEST(FashionMnistModel, MlpGradientEqualsFiniteDifferences) { ExpectGradientOfFiniteDifferences(13, 19, 10, 11); }

// More inputs than the kernel takes in one block.
TEST(FashionMnistModel, GradientOfManyInputsEqualsFiniteDifferences) {
  ExpectGradientOfFiniteDifferences(500, 0, 3, 4);
}

TEST(FashionMnistModel, HasTheSizesOfItsLayers) {
  EXPECT_EQ(Model(ModelKind::kSoftmax).parameter_count(), 7850U);
  EXPECT_EQ(Model(ModelKind::kMlp).parameter_count(), 203530U);
}

TEST(FashionMnistModel, TheSameSeedGivesTheSameParameters) {
  const Model model(ModelKind::kMlp);
  EXPECT_EQ(model.InitialParameters(1), model.InitialParameters(1));
  EXPECT_NE(model.InitialParameters(1), model.InitialParameters(2));
}

TEST(FashionMnistModel, TheSameBatchGivesTheSameBytesWhereverItLies) {
  const Batch batch = RandomBatch(60, kPixels, kClasses);
  Model model(ModelKind::kMlp);
  const std::vector<float> parameters = model.InitialParameters(1);
  std::vector<float> gradient(parameters.size());
  model.Gradient(parameters, batch, 0.01F, gradient);

  // Another model object, its scratch used before, and memory that starts at an odd float.
  Model other(ModelKind::kMlp);
  std::vector<float> shifted(parameters.size() + 3);
  std::copy(parameters.begin(), parameters.end(), shifted.begin() + 3);
  std::vector<float> out(parameters.size() + 1);
  other.Gradient(parameters, RandomBatch(71, kPixels, kClasses), 1, std::span(out).subspan(1));
  other.Gradient(std::span(shifted).subspan(3), batch, 0.01F, std::span(out).subspan(1));
  EXPECT_EQ(std::memcmp(out.data() + 1, gradient.data(), gradient.size() * sizeof(float)), 0);
}

TEST(FashionMnistModel, AnEmptyBatchHasGradientZero) {
  Model model(ModelKind::kMlp);
  std::vector<float> gradient(model.parameter_count(), 1);
  EXPECT_EQ(model.Gradient(model.InitialParameters(1), Batch{}, 1, gradient), 0);
  EXPECT_EQ(gradient, std::vector<float>(gradient.size()));
}

TEST(FashionMnistModel, CountsTheImagesItGetsRight) {
  // One image per class, its own row of pixels bright; weights that look at exactly this row.
  Dataset data;
  data.pixels.resize(200 * kPixels);
  Model model(ModelKind::kSoftmax);
  std::vector<float> parameters(model.parameter_count());
  for (size_t i = 0; i < 200; ++i) {
    const size_t row = i % kClasses;
    data.labels.push_back(static_cast<uint8_t>(i < 150 ? row : (row + 1) % kClasses));
    for (size_t column = 0; column < kImageSide; ++column) {
      data.pixels[i * kPixels + row * kImageSide + column] = 255;
      parameters[(row * kImageSide + column) * kClasses + row] = 1;
    }
  }
  EXPECT_EQ(model.CountCorrect(parameters, data.view()), 150U);
}

}  // namespace
}  // namespace fashion
