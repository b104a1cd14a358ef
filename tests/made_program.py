"""A compiled program that is written by hand, in the form that compilers print."""

# The entry runs a loop three times, in which a loop runs five times (of one it is written down, of
# the other it is in the condition); a choice; and a function.
PROGRAM = """\
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[8,4]{1,0})->f32[8,4]{1,0}}

%sum (x: f32[], y: f32[]) -> f32[] {
  %x = f32[]{:T(128)} parameter(0)
  %y = f32[]{:T(128)} parameter(1)
  ROOT %add.9 = f32[]{:T(128)} add(%x, %y)
}

%fused_computation (param_0.1: bf16[8,4]) -> bf16[8,4] {
  %param_0.1 = bf16[8,4]{1,0:T(8,128)(2,1)S(1)} parameter(0)
  %multiply.1 = bf16[8,4]{1,0:T(8,128)(2,1)} multiply(%param_0.1, %param_0.1), metadata={op_name="jit(step)/jvp(block)/mlp/mul"}, backend_config={"estimated_cycles":"70000"}
  ROOT %convert.1 = bf16[8,4]{1,0:T(8,128)(2,1)} convert(%multiply.1)
}

%inner_body (p.1: (s32[], bf16[8,4])) -> (s32[], bf16[8,4]) {
  %p.1 = (s32[]{:T(128)}, bf16[8,4]{1,0:T(8,128)(2,1)}) parameter(0)
  %i.1 = s32[]{:T(128)} get-tuple-element(%p.1), index=0
  %v.1 = bf16[8,4]{1,0:T(8,128)(2,1)} get-tuple-element(%p.1), index=1
  %fusion.1 = bf16[8,4]{1,0:T(8,128)(2,1)} fusion(%v.1), kind=kLoop, calls=%fused_computation, backend_config={"flag_configs":[],"window_config":{"kernel_window_bounds":[],"estimated_cycles":"7","iteration_bounds":["1"]}}
  ROOT %t.1 = (s32[]{:T(128)}, /*index=1*/bf16[8,4]{1,0:T(8,128)(2,1)}) tuple(%i.1, %fusion.1)
}

%outer_body (p.2: (s32[], bf16[8,4])) -> (s32[], bf16[8,4]) {
  %p.2 = (s32[]{:T(128)}, bf16[8,4]{1,0:T(8,128)(2,1)}) parameter(0)
  %while.1 = (s32[]{:T(128)}, bf16[8,4]{1,0:T(8,128)(2,1)}) while(%p.2), condition=%below_five, body=%inner_body, metadata={op_name="jit(step)/while"}
  %v.2 = bf16[8,4]{1,0:T(8,128)(2,1)} get-tuple-element(%while.1), index=1
  %copy.1 = bf16[8,4]{0,1:T(8,128)(2,1)} copy(%v.2), metadata={op_name="jit(step)/transpose(jvp(block))/attention/transpose"}, backend_config={"estimated_cycles":"100"}
  %all-reduce.1 = bf16[8,4]{0,1:T(8,128)(2,1)} all-reduce(%copy.1), channel_id=1, replica_groups={{0,1}}, to_apply=%sum, metadata={op_name="jit(step)/sum_gradients/add"}, backend_config={"estimated_cycles":"20"}
  ROOT %t.2 = (s32[]{:T(128)}, bf16[8,4]{1,0:T(8,128)(2,1)}) tuple(%p.2, %all-reduce.1)
}

%test (p.3: (s32[], bf16[8,4])) -> pred[] {
  %p.3 = (s32[]{:T(128)}, bf16[8,4]{1,0:T(8,128)(2,1)}) parameter(0)
  ROOT %less = pred[]{:T(512)} constant(true)
}

%below_five (p.7: (s32[], bf16[8,4])) -> pred[] {
  %constant.2 = s32[]{:T(128)} constant(5)
  %p.7 = (s32[]{:T(128)}, bf16[8,4]{1,0:T(8,128)(2,1)}) parameter(0)
  %i.2 = s32[]{:T(128)} get-tuple-element(%p.7), index=0
  ROOT %lt.1 = pred[]{:T(512)} compare(%i.2, %constant.2), direction=LT, metadata={op_name="jit(step)/while/cond/lt"}
}

%left (p.4: f32[8,4]) -> f32[8,4] {
  %p.4 = f32[8,4]{1,0:T(8,128)} parameter(0)
  ROOT %negate.1 = f32[8,4]{1,0:T(8,128)} negate(%p.4), metadata={op_name="jit(step)/jit(_where)/neg"}, backend_config={"estimated_cycles":"3000"}
}

%right (p.5: f32[8,4]) -> f32[8,4] {
  ROOT %p.5 = f32[8,4]{1,0:T(8,128)} parameter(0)
}

%function (p.6: f32[8,4]) -> f32[8,4] {
  %p.6 = f32[8,4]{1,0:T(8,128)} parameter(0)
  ROOT %dot.1 = f32[8,4]{1,0:T(8,128)} convolution(%p.6, %p.6), window={size=1}, dim_labels=bf_io->bf, metadata={op_name="jit(step)/optimizer/mul"}, backend_config={"estimated_cycles":"40000"}
}

ENTRY %main.1 (a: f32[8,4], b: (s32[], bf16[8,4])) -> f32[8,4] {
  %a = f32[8,4]{1,0:T(8,128)} parameter(0)
  %b = (s32[]{:T(128)}, bf16[8,4]{1,0:T(8,128)(2,1)}) parameter(1)
  %c = s32[]{:T(128)} constant(0)
  %while.2 = (s32[]{:T(128)}, bf16[8,4]{1,0:T(8,128)(2,1)}) while(%b), condition=%test, body=%outer_body, metadata={op_name="jit(step)/while"}, backend_config={"known_trip_count":{"n":"3"},"flag_configs":[]}
  %conditional.1 = f32[8,4]{1,0:T(8,128)} conditional(%c, %a, %a), branch_computations={%left, %right}
  %all-gather-start.1 = (f32[8,4]{1,0:T(8,128)}, f32[16,4]{1,0:T(8,128)}, u32[]{:S(2)}, u32[]{:S(2)}) all-gather-start(%conditional.1), channel_id=2, replica_groups={{0,1}}, dimensions={0}, metadata={op_name="jit(step)/gather_parameters/sharding_constraint"}
  %all-gather-done.1 = f32[16,4]{1,0:T(8,128)} all-gather-done(%all-gather-start.1)
  ROOT %call.1 = f32[8,4]{1,0:T(8,128)} call(%conditional.1), to_apply=%function
}
"""  # noqa: E501
CYCLES = {"fusion": 3 * 5 * 7, "copy": 3 * 100, "all-reduce": 3 * 20}
CYCLES |= {"negate": 3000, "convolution": 40_000}
