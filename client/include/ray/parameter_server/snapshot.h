// Snapshot<T>: the parameters as they were at some version of each shard. The memory lies in the store, is never copied
// unless asked, and is pinned while a copy of the Snapshot lives, even after the server has gone. Gradient<T>: memory
// in the store that a worker fills in place. Reading a Snapshot is thread-safe; a Gradient belongs to one thread at a
// time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ray/api/array.h>

#include <ray/parameter_server/layout.h>

namespace ray {
namespace ps {

template <class T>
class Snapshot {
 public:
  Snapshot() = default;
  Snapshot(std::shared_ptr<const internal::Layout> layout, std::vector<Array<T>> pieces, std::vector<uint64_t> versions)
      : layout_(std::move(layout)), pieces_(std::move(pieces)), versions_(std::move(versions)) {}

  // The number of steps that the parameters have; where shards differ, the lowest one.
  uint64_t version() const { return versions_.empty() ? 0 : *std::min_element(versions_.begin(), versions_.end()); }
  const std::vector<uint64_t>& versions() const { return versions_; }  // of each shard
  size_t size() const { return layout_ == nullptr ? 0 : layout_->size(); }
  const std::vector<Array<T>>& pieces() const { return pieces_; }  // of each shard

  std::vector<std::span<const T>> spans() const {
    std::vector<std::span<const T>> spans;
    for (const auto& piece : pieces_) spans.push_back(piece.span());
    return spans;
  }
  // Not checked. Loops over spans() are faster.
  const T& operator[](size_t index) const {
    const size_t shard = layout_->ShardOf(index);
    return pieces_[shard][index - layout_->offsets[shard]];
  }

  // All parameters in one run, copied.
  std::vector<T> Copy() const { return All().Copy(); }
  void CopyTo(std::span<T> to) const { All().CopyTo(to); }

  // One of the tensors that Create named; RayException for another name.
  SplitSpan<const T> Tensor(const std::string& name) const {
    static const internal::Layout nothing;
    const internal::TensorPlace& place = internal::PlaceOf(layout_ == nullptr ? nothing : *layout_, name);
    size_t count = 1;
    for (const size_t length : place.shape) count *= length;
    return All().Part(place.offset, count, place.shape);
  }

 private:
  SplitSpan<const T> All() const { return SplitSpan<const T>(spans(), Shape{size()}); }

  std::shared_ptr<const internal::Layout> layout_;
  std::vector<Array<T>> pieces_;
  std::vector<uint64_t> versions_;
};

template <class T>
class Gradient {
 public:
  // What it holds before it is written is unspecified. `versions`: of the snapshot that it is computed from.
  Gradient(std::shared_ptr<const internal::Layout> layout, std::vector<uint64_t> versions)
      : layout_(std::move(layout)), versions_(std::move(versions)) {
    for (size_t i = 0; i < layout_->shards(); ++i) pieces_.emplace_back(layout_->ShardSize(i));
  }
  Gradient(Gradient&&) noexcept = default;
  Gradient& operator=(Gradient&&) noexcept = default;

  size_t size() const { return layout_->size(); }
  std::vector<std::span<T>> spans() {
    std::vector<std::span<T>> spans;
    for (auto& piece : pieces_) spans.push_back(piece.span());
    return spans;
  }
  // Not checked. Loops over spans() are faster.
  T& operator[](size_t index) {
    const size_t shard = layout_->ShardOf(index);
    return pieces_[shard][index - layout_->offsets[shard]];
  }
  void Fill(T value) { All().Fill(value); }
  void CopyFrom(std::span<const T> values) { All().CopyFrom(values); }
  SplitSpan<T> Tensor(const std::string& name) {
    const internal::TensorPlace& place = internal::PlaceOf(*layout_, name);
    size_t count = 1;
    for (const size_t length : place.shape) count *= length;
    return All().Part(place.offset, count, place.shape);
  }

  const std::vector<uint64_t>& versions() const { return versions_; }
  std::vector<MutableArray<T>>& pieces() { return pieces_; }  // of each shard

 private:
  SplitSpan<T> All() { return SplitSpan<T>(spans(), Shape{size()}); }

  std::shared_ptr<const internal::Layout> layout_;
  std::vector<uint64_t> versions_;
  std::vector<MutableArray<T>> pieces_;
};

}  // namespace ps
}  // namespace ray
