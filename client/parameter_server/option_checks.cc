#include "client/parameter_server/option_checks.h"

#include <cmath>
#include <string>
#include <type_traits>
#include <variant>

#include <ray/api/exceptions.h>

namespace ray::ps::internal {
namespace {

[[noreturn]] void Throw(const std::string& name, double value, const char* takes) {
  throw ray::internal::RayException(name + " is " + std::to_string(value) + ": it takes " + takes);
}

void CheckNotNegative(const std::string& name, double value) {
  if (!std::isfinite(value) || value < 0) Throw(name, value, "a finite number of 0 or more");
}

void CheckDecay(const std::string& name, double value) {
  if (!(value >= 0 && value < 1)) Throw(name, value, "0 or more, and less than 1");
}

struct OptimizerChecks {
  void operator()(const Sgd& o) const {
    CheckNotNegative("Sgd::rate", o.rate);
    CheckDecay("Sgd::momentum", o.momentum);
    CheckNotNegative("Sgd::weight_decay", o.weight_decay);
  }
  void operator()(const Adagrad& o) const {
    CheckNotNegative("Adagrad::rate", o.rate);
    CheckNotNegative("Adagrad::epsilon", o.epsilon);
    CheckNotNegative("Adagrad::weight_decay", o.weight_decay);
  }
  void operator()(const RmsProp& o) const {
    CheckNotNegative("RmsProp::rate", o.rate);
    CheckDecay("RmsProp::decay", o.decay);
    CheckNotNegative("RmsProp::epsilon", o.epsilon);
    CheckNotNegative("RmsProp::weight_decay", o.weight_decay);
  }
  void operator()(const Adam& o) const { CheckAdam("Adam", o); }
  void operator()(const AdamW& o) const { CheckAdam("AdamW", o); }
  void operator()(const Ftrl& o) const {
    if (!std::isfinite(o.alpha) || o.alpha <= 0) Throw("Ftrl::alpha", o.alpha, "a finite number above 0");
    CheckNotNegative("Ftrl::beta", o.beta);
    CheckNotNegative("Ftrl::l1", o.l1);
    CheckNotNegative("Ftrl::l2", o.l2);
  }
  void operator()(const CustomRule&) const {}

  template <class Optimiser>
  static void CheckAdam(const std::string& name, const Optimiser& o) {
    CheckNotNegative(name + "::rate", o.rate);
    CheckDecay(name + "::beta1", o.beta1);
    CheckDecay(name + "::beta2", o.beta2);
    CheckNotNegative(name + "::epsilon", o.epsilon);
    CheckNotNegative(name + "::weight_decay", o.weight_decay);
  }
};

}  // namespace

void CheckNumbers(const Options& options) {
  std::visit(OptimizerChecks(), options.optimizer);
  CheckNotNegative("Clip::value", options.clip.value);
  CheckNotNegative("Clip::norm", options.clip.norm);
  CheckNotNegative("Schedule::factor", options.schedule.factor);
  if (options.round_deadline.count() <= 0)
    throw ray::internal::RayException("the round_deadline is " + std::to_string(options.round_deadline.count()) +
                                      " ms: it takes 1 ms or more");
}

}  // namespace ray::ps::internal
