// The invokers that a worker calls. Each unpacks the arguments, calls the user's function and packs the result.
// ActorBox has the actor's object between its factory and its end. There is one instantiation per registered function;
// code that needs none of its types is in the library.
#pragma once

#include <cstddef>
#include <mutex>
#include <span>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <ray/api/exceptions.h>
#include <ray/api/serializer.h>
#include <ray/internal/function_traits.h>
#include <ray/internal/runtime.h>

namespace ray {
namespace internal {

// ActorBox: an actor's object with its type, so that methods of its base classes find their part of it. Any thread. An
// object whose destructor is not public is never destroyed.
class RAYLET_API ActorBox {
 public:
  template <class T>
  explicit ActorBox(T* object)
      : object_(object),
        type_(&typeid(T)),
        throw_pointer_([](void* p) { throw static_cast<T*>(p); }),
        delete_([]([[maybe_unused]] void* p) {
          if constexpr (std::is_destructible_v<T>) delete static_cast<T*>(p);
        }) {}
  ActorBox(const ActorBox&) = delete;
  ActorBox& operator=(const ActorBox&) = delete;
  ~ActorBox() { delete_(object_); }

  // The object as a C, which is its class or a public base of it; RayException for anything else.
  template <class C>
  C& As() {
    if (*type_ == typeid(C)) return *static_cast<C*>(object_);
    if (void* base = FindBase(typeid(C)); base != nullptr) return *static_cast<C*>(base);
    // A handler for C* catches a pointer to any class derived from C and adjusts it. No other cast does so where one
    // of the two types is not known. Once per class, then remembered.
    try {
      throw_pointer_(object_);
    } catch (C* base) {
      AddBase(typeid(C), base);
      return *base;
    } catch (...) {}
    ThrowWrongClass(typeid(C));
  }

 private:
  void* FindBase(const std::type_info& type) const;
  void AddBase(const std::type_info& type, void* base);
  [[noreturn]] void ThrowWrongClass(const std::type_info& wanted) const;

  void* object_;
  const std::type_info* type_;
  void (*throw_pointer_)(void*);
  void (*delete_)(void*);
  mutable std::mutex mutex_;
  std::vector<std::pair<const std::type_info*, void*>> bases_;  // guarded by mutex_
};

RAYLET_API void CheckArgumentCount(size_t given, size_t wanted);
[[noreturn]] RAYLET_API void ThrowNullActor();

// Calls call(arguments…): braces unpack left to right; T, const T&, T& and T&& parameters all bind to the values here,
// which live until the call has returned.
template <class... A, class Call, size_t... I>
auto CallWith(TypeList<A...>, std::index_sequence<I...>, std::span<const PackedView> arguments, Call call) {
  CheckArgumentCount(arguments.size(), sizeof...(A));
  std::tuple<ValueOf<A>...> values{UnpackValue<ValueOf<A>>(arguments[I])...};
  return call(static_cast<A&&>(std::get<I>(values))...);
}

// Calls and packs at once: the result may refer to the arguments.
template <class Result, class Call>
Packed PackResultOf(Call call) {
  if constexpr (std::is_void_v<Result>) {
    call();
    return Packed();
  } else if constexpr (kIsOwnBytes<Result>) {
    return PackMoved<Result>(call());
  } else {
    const typename ResultValue<std::remove_cvref_t<Result>>::Type& value = call();
    return PackValue(value);
  }
}

template <class Pointer>
Packed InvokeFunction(const void* target, size_t, void*, std::span<const PackedView> arguments) {
  using Traits = FunctionTraits<Pointer>;
  using Parameters = typename Traits::Parameters;
  const Pointer function = TargetFrom<Pointer>(target);
  return CallWith(Parameters(), std::make_index_sequence<Parameters::kSize>(), arguments, [&]<class... A>(A&&... a) {
    return PackResultOf<typename Traits::Result>([&]() -> decltype(auto) { return function(std::forward<A>(a)...); });
  });
}

template <class Pointer>
Packed InvokeMethod(const void* target, size_t, void* instance, std::span<const PackedView> arguments) {
  using Traits = FunctionTraits<Pointer>;
  using Parameters = typename Traits::Parameters;
  using Object = typename Traits::Object;
  const Pointer method = TargetFrom<Pointer>(target);
  typename Traits::Class& object = static_cast<ActorBox*>(instance)->As<typename Traits::Class>();
  return CallWith(Parameters(), std::make_index_sequence<Parameters::kSize>(), arguments, [&]<class... A>(A&&... a) {
    return PackResultOf<typename Traits::Result>(
        [&]() -> decltype(auto) { return (static_cast<Object>(object).*method)(std::forward<A>(a)...); });
  });
}

template <class Pointer>
ActorInstance InvokeFactory(const void* target, size_t, std::span<const PackedView> arguments) {
  using Parameters = typename FunctionTraits<Pointer>::Parameters;
  auto* object =
      CallWith(Parameters(), std::make_index_sequence<Parameters::kSize>(), arguments, TargetFrom<Pointer>(target));
  if (object == nullptr) ThrowNullActor();
  return ActorInstance{new ActorBox(object), [](void* box) { delete static_cast<ActorBox*>(box); }};
}

}  // namespace internal
}  // namespace ray
