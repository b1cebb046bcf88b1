// The two classifiers: softmax regression (784-10) and a perceptron with one hidden layer of rectified
// units (784-256-10), both trained on softmax cross-entropy.
//
// Parameters and gradients are one flat vector of floats, so a shard is a run of it. The weights of the
// first layer come first, row-major with one row per input, then its biases. The second layer follows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fashion_mnist/idx_reader.h"
#include "fashion_mnist/matrix.h"

namespace fashion {

enum class ModelKind { kSoftmax, kMlp };

inline constexpr size_t kHiddenUnits = 256;

const char* NameOf(ModelKind kind);

// Some images as the model sees them: one row of `inputs` floats per image.
struct Batch {
  std::vector<float> inputs;
  std::vector<uint8_t> labels;

  size_t count() const { return labels.size(); }
};

// Copies the images with these indices into the batch, their brightness centred and scaled to a variance of one.
void Load(const DatasetView& data, std::span<const uint32_t> indices, Batch& batch);

// Computes; holds no parameters, only its own scratch memory. One thread at a time.
class Model {
 public:
  explicit Model(ModelKind kind) : Model(kPixels, kind == ModelKind::kMlp ? kHiddenUnits : 0, kClasses) {}
  // `hidden` 0 leaves the hidden layer out.
  Model(size_t inputs, size_t hidden, size_t classes);

  size_t parameter_count() const;
  // Floating-point operations of the products of one image's gradient; the rest is below one in a hundred.

  // The same seed gives the same bytes everywhere.
  std::vector<float> InitialParameters(uint64_t seed) const;

  // Fills `gradient` with `scale` times the sum of the batch's gradients and returns the sum of its losses. The same
  // arguments give the same bytes in every process of a machine. An empty batch has gradient zero.
  double Gradient(std::span<const float> parameters, const Batch& batch, float scale, std::span<float> gradient);

  // The number of images whose likeliest class is their label.
  size_t CountCorrect(std::span<const float> parameters, const DatasetView& data);

 private:
  // The place of a layer in the flat vector.
  struct Layer {
    size_t offset;
    size_t inputs;
    size_t outputs;

    size_t weight_count() const { return inputs * outputs; }
    size_t end() const { return offset + weight_count() + outputs; }
    ConstMatrix Weights(std::span<const float> flat) const { return {flat.data() + offset, inputs, outputs, outputs}; }
    Matrix Weights(std::span<float> flat) const { return {flat.data() + offset, inputs, outputs}; }
    template <class T>
    std::span<T> Biases(std::span<T> flat) const {
      return flat.subspan(offset + weight_count(), outputs);
    }
  };

  void Forward(std::span<const float> parameters, const Batch& batch);
  Matrix Scores() { return {scores_.data(), scores_.size() / layers_.back().outputs, layers_.back().outputs}; }
  Matrix Hidden() { return {hidden_.data(), hidden_.size() / layers_.front().outputs, layers_.front().outputs}; }
  void LayerGradient(const Layer& layer, const ConstMatrix& inputs, const Matrix& errors, std::span<float> gradient);

  std::vector<Layer> layers_;  // one or two
  Multiplier multiplier_;
  std::vector<float> hidden_;         // activations of the hidden layer, one row per image
  std::vector<float> hidden_errors_;  // derivatives of the loss by its sums
  std::vector<float> scores_;         // of the classes; during Gradient also the derivatives of the loss by them
};

}  // namespace fashion
