// Put, Get, Wait: store values, fetch values, and wait until some are ready.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <ray/api/array.h>
#include <ray/api/object_ref.h>
#include <ray/api/wait_result.h>

namespace ray {

namespace internal {

// One deadline for several waits.
class Deadline {
 public:
  explicit Deadline(int64_t timeout_ms)
      : end_(timeout_ms < 0 ? Clock::time_point::max() : Clock::now() + std::chrono::milliseconds(timeout_ms)) {}
  int64_t RemainingMs() const {  // -1: no deadline
    if (end_ == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return left > 0 ? left : 0;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_;
};

// The handles of these references, where they lie: copies would have to be counted. A reference is its handle.
template <class T>
std::span<const ObjectHandle> HandlesOf(const std::vector<ObjectRef<T>>& objects) {
  static_assert(std::is_standard_layout_v<ObjectRef<T>> && sizeof(ObjectRef<T>) == sizeof(ObjectHandle));
  return {reinterpret_cast<const ObjectHandle*>(objects.data()), objects.size()};
}

// Runtime::Want and its like. Throws where a handle is null.
RAYLET_API Hold WantHandles(std::span<const ObjectHandle> handles);
RAYLET_API Hold WantArraysOf(const std::vector<PackedView>& views);
template <class T>
inline constexpr bool kIsArray = false;
template <class T>
inline constexpr bool kIsArray<Array<T>> = true;
// Checks count and handles, waits, and returns which of them are ready: num_objects at most.
RAYLET_API std::vector<bool> WaitForHandles(std::span<const ObjectHandle> handles, int num_objects, int timeout_ms);

// Gets each of the objects, in order, and visits its value before it waits for a later one. The handles stay as they
// are meanwhile, and none is null.
template <class Visit>
void VisitValues(std::span<const ObjectHandle> handles, const Deadline& deadline, Visit visit) {
  constexpr size_t kViews = 32;  // each call of the runtime has a cost of its own
  std::array<PackedView, kViews> views;
  while (!handles.empty()) {
    const size_t count = CurrentRuntime().GetMany(handles, deadline.RemainingMs(), views);
    for (const PackedView& view : std::span(views).first(count)) visit(view);
    views[0] = {};  // it may pin memory of the store
    handles = handles.subspan(count);
  }
}

}  // namespace internal

template <class T>
ObjectRef<T> Put(const T& value) {
  return ObjectRef<T>(internal::CurrentRuntime().Put(internal::PackInPlace(value)));
}
// Seals the array. A template of the array and not of its elements, so that Put<T>(value) with T named never looks at
// it.
template <class Mutable>
requires std::same_as<Mutable, MutableArray<typename Mutable::value_type>>
    ObjectRef<Array<typename Mutable::value_type>> Put(Mutable&& array) {
  return Put<Array<typename Mutable::value_type>>(std::move(array).Seal());
}

template <class T>
auto Get(const ObjectRef<T>& object) {
  return object.Get();
}
template <class T>
auto Get(const ObjectRef<T>& object, const int& timeout_ms) {
  return object.Get(timeout_ms);
}

// All of them, in order; the timeout is for all together. Nothing to return for ObjectRef<void>.
template <class T>
auto Get(const std::vector<ObjectRef<T>>& objects, const int& timeout_ms = -1) {
  const internal::Deadline deadline(timeout_ms);
  const std::span<const internal::ObjectHandle> handles = internal::HandlesOf(objects);
  const internal::Hold wanted = internal::WantHandles(handles);
  if constexpr (std::is_void_v<T>) {
    internal::VisitValues(handles, deadline, [](const internal::PackedView&) {});
  } else {
    std::vector<std::shared_ptr<T>> values;
    values.reserve(objects.size());
    internal::Hold arrays_wanted;
    if constexpr (internal::kIsArray<T>) {
      // First the small values that name the arrays, then these, all at once.
      std::vector<internal::PackedView> names;
      names.reserve(objects.size());
      for (const auto& handle : handles)
        names.push_back(internal::CurrentRuntime().Get(handle, deadline.RemainingMs()));
      arrays_wanted = internal::WantArraysOf(names);
    }
    internal::VisitValues(handles, deadline, [&values](const internal::PackedView& view) {
      values.push_back(internal::MakeValue<T>(view));
    });
    return values;
  }
}
template <class T>
std::vector<std::shared_ptr<T>> Get(const std::vector<std::string>& ids, const int& timeout_ms = -1) {
  std::vector<ObjectRef<T>> objects;
  objects.reserve(ids.size());
  for (const auto& id : ids) objects.emplace_back(id);
  return Get(objects, timeout_ms);
}

// Returns once num_objects of them are ready, or at the timeout (-1: none). No more than num_objects are in the list of
// ready ones: it looks at no further ones.
template <class T>
WaitResult<T> Wait(const std::vector<ObjectRef<T>>& objects, int num_objects, int timeout_ms) {
  const std::vector<bool> ready = internal::WaitForHandles(internal::HandlesOf(objects), num_objects, timeout_ms);
  WaitResult<T> result;
  auto is_ready = ready.begin();
  for (const auto& object : objects) (*is_ready++ ? result.ready : result.unready).push_back(object);
  return result;
}

}  // namespace ray
