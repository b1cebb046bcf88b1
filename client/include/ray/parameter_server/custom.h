// Custom: an optimiser of the user's own. A functor is told the parameters, the gradient and the optimiser's state of
// some elements, and changes the parameters:
//
//   struct Signs {                           // w -= rate * sign(g)
//     double rate = 0.01;
//     MSGPACK_DEFINE(rate)
//     template <class T>
//     void operator()(const ps::Elements<T>& e) const {
//       for (size_t i = 0; i < e.parameters.size(); ++i)
//         e.parameters[i] -= static_cast<T>(rate * e.factor) * (e.gradient[i] > 0 ? T{1} : T{-1});
//     }
//   };
//   auto server = ps::Parameters<float>::Create(1000, {.optimizer = ps::Custom(Signs{.rate = 0.1})});
//
// Nothing has to be given to RAY_REMOTE: using Custom registers the functor in each process of the program. It is
// called for runs of any length, so each element has to be computed alone. A functor with `static constexpr size_t
// kSlots = 1` or 2 has so many numbers of state for each parameter, which are 0 at first. The fields travel to the
// shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <ray/api/msgpack.h>

#include <ray/internal/export.h>

namespace ray {
namespace ps {

template <class T>
struct Elements {
  std::span<T> parameters;
  std::span<T> gradient;  // may be overwritten
  std::span<T> first;     // slot 0; empty without state
  std::span<T> second;    // slot 1
  double factor = 1;      // of the schedule
  uint64_t step = 0;      // from 0
};

namespace internal {

// A functor without its type. Made once for each shard.
class Rule {
 public:
  virtual ~Rule() = default;
  virtual size_t slots() const = 0;
  virtual void Do(const Elements<float>& elements) const = 0;
  virtual void Do(const Elements<double>& elements) const = 0;
};
using RuleMaker = std::shared_ptr<const Rule> (*)(std::string_view state);
RAYLET_API bool RegisterRule(const char* name, RuleMaker maker);
[[noreturn]] RAYLET_API void ThrowWrongElements(const char* functor, const char* elements);

template <class F>
class RuleOf final : public Rule {
 public:
  explicit RuleOf(F functor) : functor_(std::move(functor)) {}
  size_t slots() const override {
    if constexpr (requires { F::kSlots; }) {
      static_assert(F::kSlots <= 2, "an optimiser has at most two numbers of state for each parameter");
      return F::kSlots;
    } else {
      return 0;
    }
  }
  void Do(const Elements<float>& elements) const override { Call(elements, "float"); }
  void Do(const Elements<double>& elements) const override { Call(elements, "double"); }

  static std::shared_ptr<const Rule> Make(std::string_view state) {
    return std::make_shared<const RuleOf>(msgpack::unpack(state.data(), state.size()).get().template as<F>());
  }
  static inline const bool registered = RegisterRule(typeid(F).name(), &Make);

 private:
  template <class T>
  void Call(const Elements<T>& elements, const char* type) const {
    if constexpr (std::is_invocable_v<const F&, const Elements<T>&>)
      functor_(elements);
    else
      ThrowWrongElements(typeid(F).name(), type);
  }

  F functor_;
};

}  // namespace internal

// The functor's name and fields, which travel; each shard makes its functor of them.
struct CustomRule {
  std::string name;
  std::string state;
  MSGPACK_DEFINE(name, state)
};

template <class F>
CustomRule Custom(const F& functor) {
  static_cast<void>(internal::RuleOf<F>::registered);
  msgpack::sbuffer state;
  msgpack::pack(state, functor);
  return {typeid(F).name(), std::string(state.data(), state.size())};
}

}  // namespace ps
}  // namespace ray
