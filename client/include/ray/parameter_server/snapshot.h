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

namespace internal {

class ReadCell;

// What a Snapshot refers to. Nobody changes it.
template <class T>
struct SnapshotContent {
  std::shared_ptr<const Layout> layout;
  std::vector<Array<T>> pieces;                        // of each shard
  std::vector<uint64_t> versions;                      // of each shard
  std::vector<std::shared_ptr<const ReadCell>> cells;  // where each shard's version is seen; null: nowhere
};

}  // namespace internal

template <class T>
class Snapshot {
 public:
  Snapshot() : Snapshot(internal::SnapshotContent<T>{std::make_shared<const internal::Layout>(), {}, {}, {}}) {}
  explicit Snapshot(internal::SnapshotContent<T> content)
      : content_(std::make_shared<const internal::SnapshotContent<T>>(std::move(content))) {}

  // The number of steps that the parameters have; where shards differ, the lowest one.
  uint64_t version() const { return versions().empty() ? 0 : *std::min_element(versions().begin(), versions().end()); }
  const std::vector<uint64_t>& versions() const { return content_->versions; }  // of each shard
  size_t size() const { return content_->layout->size(); }
  const std::vector<Array<T>>& pieces() const { return content_->pieces; }  // of each shard
  const internal::SnapshotContent<T>& content() const { return *content_; }

  std::vector<std::span<const T>> spans() const {
    std::vector<std::span<const T>> spans;
    for (const auto& piece : pieces()) spans.push_back(piece.span());
    return spans;
  }
  // Not checked. Loops over spans() are faster.
  const T& operator[](size_t index) const {
    const internal::SnapshotContent<T>& content = *content_;
    const size_t shard = content.layout->ShardOf(index);
    return content.pieces[shard][index - content.layout->offsets[shard]];
  }

  // All parameters in one run, copied.
  std::vector<T> Copy() const { return All().Copy(); }
  void CopyTo(std::span<T> to) const { All().CopyTo(to); }

  // One of the tensors that Create named; RayException for another name.
  SplitSpan<const T> Tensor(const std::string& name) const {
    const internal::TensorPlace& place = internal::PlaceOf(*content_->layout, name);
    size_t count = 1;
    for (const size_t length : place.shape) count *= length;
    return All().Part(place.offset, count, place.shape);
  }

 private:
  SplitSpan<const T> All() const { return SplitSpan<const T>(spans(), Shape{size()}); }

  std::shared_ptr<const internal::SnapshotContent<T>> content_;
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
  const std::shared_ptr<const internal::Layout>& layout() const { return layout_; }
  std::vector<MutableArray<T>>& pieces() { return pieces_; }  // of each shard

 private:
  SplitSpan<T> All() { return SplitSpan<T>(spans(), Shape{size()}); }

  std::shared_ptr<const internal::Layout> layout_;
  std::vector<uint64_t> versions_;
  std::vector<MutableArray<T>> pieces_;
};

}  // namespace ps
}  // namespace ray
