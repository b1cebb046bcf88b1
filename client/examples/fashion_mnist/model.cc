#include "fashion_mnist/model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "fashion_mnist/random.h"

namespace fashion {
namespace {

// Evaluation works in pieces that stay in the second-level cache.
constexpr size_t kEvaluationBatch = 120;

// Brightness over the training set. Inputs centred on zero let the rate be high, and late gradients do no harm.
constexpr float kMean = 0.286F;
constexpr float kDeviation = 0.353F;

// Turns the scores of one image into the derivatives of its loss, times `scale`; returns the loss.
double SoftmaxErrors(std::span<float> scores, size_t label, float scale) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  const float label_score = scores[label];
  float sum = 0;
  for (float& score : scores) {
    score = std::exp(score - largest);
    sum += score;
  }
  const float factor = scale / sum;
  for (float& score : scores) score *= factor;
  scores[label] -= scale;
  return std::log(static_cast<double>(sum)) + largest - label_score;
}

}  // namespace

const char* NameOf(ModelKind kind) { return kind == ModelKind::kMlp ? "mlp" : "softmax"; }

void Load(const DatasetView& data, std::span<const uint32_t> indices, Batch& batch) {
  static const auto kInputs = [] {
    std::array<float, 256> table{};
    for (size_t i = 0; i < table.size(); ++i) table[i] = (static_cast<float>(i) / 255.0F - kMean) / kDeviation;
    return table;
  }();
  batch.inputs.resize(indices.size() * kPixels);
  batch.labels.resize(indices.size());
  float* out = batch.inputs.data();
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto pixels = data.pixels.subspan(indices[i] * kPixels, kPixels);
    for (const uint8_t pixel : pixels) *out++ = kInputs[pixel];
    batch.labels[i] = data.labels[indices[i]];
  }
}

Model::Model(size_t inputs, size_t hidden, size_t classes) {
  if (hidden != 0) layers_.push_back({0, inputs, hidden});
  layers_.push_back({hidden == 0 ? 0 : layers_.front().end(), hidden == 0 ? inputs : hidden, classes});
}

size_t Model::parameter_count() const { return layers_.back().end(); }

std::vector<float> Model::InitialParameters(uint64_t seed) const {
  std::vector<float> parameters(parameter_count());  // biases stay zero
  Random random(seed);
  for (const Layer& layer : layers_) {
    // Uniform, with the variance 2 / inputs that keeps the size of activations through rectified units (He et al.).
    const float limit = std::sqrt(6.0F / static_cast<float>(layer.inputs));
    for (float& weight : std::span(parameters).subspan(layer.offset, layer.weight_count())) {
      weight = (2 * random.NextFloat() - 1) * limit;
    }
  }
  return parameters;
}

void Model::Forward(std::span<const float> parameters, const Batch& batch) {
  ConstMatrix below{batch.inputs.data(), batch.count(), layers_.front().inputs, layers_.front().inputs};
  if (layers_.size() == 2) {
    hidden_.resize(batch.count() * layers_.front().outputs);
    multiplier_.Multiply(below, layers_[0].Weights(parameters), layers_[0].Biases(parameters), Hidden());
    for (float& activation : hidden_) activation = activation > 0 ? activation : 0;
    below = Hidden();
  }
  scores_.resize(batch.count() * layers_.back().outputs);
  multiplier_.Multiply(below, layers_.back().Weights(parameters), layers_.back().Biases(parameters), Scores());
}

void Model::LayerGradient(const Layer& layer, const ConstMatrix& inputs, const Matrix& errors,
                          std::span<float> gradient) {
  multiplier_.Multiply(inputs.Transposed(), errors, {}, layer.Weights(gradient));
  const std::span<float> biases = layer.Biases(gradient);
  std::fill(biases.begin(), biases.end(), 0.0F);
  for (size_t image = 0; image < errors.rows; ++image) {
    const float* row = errors.row(image);
    for (size_t j = 0; j < biases.size(); ++j) biases[j] += row[j];
  }
}

double Model::Gradient(std::span<const float> parameters, const Batch& batch, float scale, std::span<float> gradient) {
  if (batch.count() == 0) {
    std::fill(gradient.begin(), gradient.end(), 0.0F);
    return 0;
  }
  Forward(parameters, batch);
  const Matrix errors = Scores();
  double loss = 0;
  for (size_t image = 0; image < errors.rows; ++image) {
    loss += SoftmaxErrors({errors.row(image), errors.columns}, batch.labels[image], scale);
  }
  const ConstMatrix inputs{batch.inputs.data(), batch.count(), layers_.front().inputs, layers_.front().inputs};
  if (layers_.size() == 1) {
    LayerGradient(layers_[0], inputs, errors, gradient);
    return loss;
  }
  LayerGradient(layers_[1], Hidden(), errors, gradient);
  hidden_errors_.resize(hidden_.size());
  const Matrix hidden_errors{hidden_errors_.data(), errors.rows, layers_[0].outputs};
  multiplier_.Multiply(errors, layers_[1].Weights(parameters).Transposed(), {}, hidden_errors);
  for (size_t i = 0; i < hidden_.size(); ++i) hidden_errors_[i] = hidden_[i] > 0 ? hidden_errors_[i] : 0;
  LayerGradient(layers_[0], inputs, hidden_errors, gradient);
  return loss;
}

size_t Model::CountCorrect(std::span<const float> parameters, const DatasetView& data) {
  size_t correct = 0;
  Batch batch;
  std::array<uint32_t, kEvaluationBatch> indices{};
  for (size_t first = 0; first < data.count(); first += kEvaluationBatch) {
    const size_t count = std::min(kEvaluationBatch, data.count() - first);
    std::iota(indices.begin(), indices.end(), static_cast<uint32_t>(first));
    Load(data, std::span(indices).first(count), batch);
    Forward(parameters, batch);
    for (size_t image = 0; image < count; ++image) {
      const float* row = Scores().row(image);
      const float* likeliest = std::max_element(row, row + layers_.back().outputs);
      correct += likeliest - row == batch.labels[image];
    }
  }
  return correct;
}

}  // namespace fashion
