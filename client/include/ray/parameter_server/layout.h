// Layout: which shard holds which of the parameters, and where the named tensors lie. Spans over several shards in
// their order are a SplitSpan. Reading is thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ray/api/msgpack.h>

#include <ray/internal/export.h>

namespace ray {
namespace ps {

using Shape = std::vector<size_t>;

namespace internal {

struct TensorPlace {
  uint64_t offset = 0;
  Shape shape;
  MSGPACK_DEFINE(offset, shape)
};

struct Layout {
  std::vector<uint64_t> offsets;  // of each shard, and at last the number of all parameters
  std::map<std::string, TensorPlace> tensors;
  MSGPACK_DEFINE(offsets, tensors)

  size_t size() const { return offsets.empty() ? 0 : offsets.back(); }
  size_t shards() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  size_t ShardSize(size_t shard) const { return offsets[shard + 1] - offsets[shard]; }
  size_t ShardOf(size_t index) const {
    return static_cast<size_t>(std::upper_bound(offsets.begin() + 1, offsets.end() - 1, index) - offsets.begin()) - 1;
  }
};

// A layout that snapshots and gradients share with their server.
struct SharedLayout {
  std::shared_ptr<const Layout> pointer = std::make_shared<const Layout>();

  const Layout& operator*() const { return *pointer; }
  const Layout* operator->() const { return pointer.get(); }
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(*pointer);
  }
  void msgpack_unpack(const msgpack::object& object) { pointer = std::make_shared<const Layout>(object.as<Layout>()); }
};

// Pieces differ by at most one parameter. Throws RayException for no shards, or more shards than parameters.
RAYLET_API Layout SplitEvenly(size_t size, size_t shards);
RAYLET_API const TensorPlace& PlaceOf(const Layout& layout, const std::string& tensor);  // throws for an unknown name
RAYLET_API void CheckSize(const char* what, size_t given, size_t wanted);                // throws unless they are equal

}  // namespace internal

// Elements that lie in several spans, one after the other, with the shape of a tensor. It pins nothing: valid while the
// Snapshot or Gradient lives that made it. Element: `const float`, `float` and so on.
template <class Element>
class SplitSpan {
 public:
  using value_type = std::remove_const_t<Element>;

  SplitSpan() = default;
  SplitSpan(std::vector<std::span<Element>> spans, Shape shape) : spans_(std::move(spans)), shape_(std::move(shape)) {
    for (const auto& span : spans_) size_ += span.size();
  }

  size_t size() const { return size_; }
  const Shape& shape() const { return shape_; }
  const std::vector<std::span<Element>>& spans() const { return spans_; }
  // Row by row; not checked. Loops over spans() are faster.
  Element& operator[](size_t index) const {
    size_t span = 0;
    while (index >= spans_[span].size()) index -= spans_[span++].size();
    return spans_[span][index];
  }

  void CopyTo(std::span<value_type> to) const {
    internal::CheckSize("the span to copy to", to.size(), size_);
    auto* out = to.data();
    for (const auto& span : spans_) out = std::copy(span.begin(), span.end(), out);
  }
  std::vector<value_type> Copy() const {
    std::vector<value_type> values(size_);
    CopyTo(values);
    return values;
  }

  // Only for elements that may be written.
  void CopyFrom(std::span<const value_type> from) const {
    internal::CheckSize("the span to copy from", from.size(), size_);
    const auto* in = from.data();
    for (const auto& span : spans_) {
      std::copy_n(in, span.size(), span.begin());
      in += span.size();
    }
  }
  void Fill(const value_type& value) const {
    for (const auto& span : spans_) std::fill(span.begin(), span.end(), value);
  }

  // `count` elements from `offset` on.
  SplitSpan Part(size_t offset, size_t count, Shape shape) const {
    std::vector<std::span<Element>> parts;
    for (const auto& span : spans_) {
      if (count > 0 && offset < span.size()) {
        const auto part = span.subspan(offset, std::min(count, span.size() - offset));
        parts.push_back(part);
        count -= part.size();
        offset = 0;
      } else {
        offset -= std::min(offset, span.size());
      }
    }
    return SplitSpan(std::move(parts), std::move(shape));
  }

 private:
  std::vector<std::span<Element>> spans_;
  Shape shape_;
  size_t size_ = 0;
};

}  // namespace ps
}  // namespace ray
