"""A program in the form in which XLA prints those for NVIDIA's GPUs; its lines, shortened, are from
a compiled training step."""

# The entry runs a loop three times, of one product by cuBLAS and attention forward and backward by
# cuDNN; then products of float32, one that may be rounded to TF32, one that may not, and one in a
# fusion; and sums over eight devices.
GPU_PROGRAM = """\
HloModule jit_step, is_scheduled=true

%sum (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %add.9 = f32[] add(%x, %y)
}

%fused_dot (p: f32[8,4], q: f32[4,2]) -> f32[8,2] {
  %p = f32[8,4]{1,0} parameter(0)
  %q = f32[4,2]{1,0} parameter(1)
  %dot.1 = f32[8,2]{1,0} dot(%p, %q), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="jit(step)/jvp(cosines)/dot_general"}
  %zero.1 = f32[] constant(0), metadata={op_name="jit(step)/jvp(mix)/jit(_bernoulli)"}
  ROOT %add.1 = f32[8,2]{1,0} add(%dot.1, %dot.1)
}

%body (state: (s32[], bf16[6,10,64], bf16[64,128])) -> (s32[], bf16[6,10,64], bf16[64,128]) {
  %state = (s32[], bf16[6,10,64]{2,1,0}, bf16[64,128]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %x.1 = bf16[60,64]{1,0} get-tuple-element(%state), index=1
  %w.1 = bf16[64,128]{1,0} get-tuple-element(%state), index=2
  %bias = bf16[128]{0} constant({...})
  %cublas-lt-matmul.1 = (bf16[60,128]{1,0}, s8[33554432]{0}) custom-call(%x.1, %w.1, %bias), custom_call_target="__cublas$lt$matmul", metadata={op_name="jit(step)/while/body/closed_call/jvp(block)/mlp/dot_general" scheduling_name="cublas-lt-matmul.1" stack_frame_id=570}, backend_config={"operation_queue_id":"0","gemm_backend_config":{"alpha_real":1,"beta":0,"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],"rhs_contracting_dimensions":["0"],"lhs_batch_dimensions":[],"rhs_batch_dimensions":[]},"alpha_imag":0,"precision_config":{"operand_precision":["DEFAULT","DEFAULT"],"algorithm":"ALG_UNSET"},"epilogue":"BIAS","lhs_stride":"8192"}}
  %q.1 = bf16[6,10,2,32]{3,2,1,0} bitcast(%x.1)
  %fwd.1 = (bf16[6,2,10,32]{3,1,2,0}, f32[6,2,10]{2,1,0}, u8[0]{0}) custom-call(%q.1, %q.1, %q.1), custom_call_target="__cudnn$fmhaSoftmax", operand_layout_constraints={bf16[6,10,2,32]{3,2,1,0}, bf16[6,10,2,32]{3,2,1,0}, bf16[6,10,2,32]{3,2,1,0}}, api_version=API_VERSION_STATUS_RETURNING, metadata={op_name="jit(step)/while/body/closed_call/jvp(block)/attention/dot_product_attention_fwd"}, backend_config={"operation_queue_id": "0", "cudnn_fmha_backend_config": {"algorithm": {"algo_id": "0", "tuning_knobs": {"17": "1", "24": "0"}, "workspace_size": "0"}, "fmha_scale": 0.125, "intermediate_tensor_shape": {"element_type": "BF16", "dimensions": ["6", "2", "10", "10"], "tuple_shapes": []}, "is_flash_attention": true, "mask_type": "NO_MASK", "bmm1_dot_dimension_numbers": {"lhs_contracting_dimensions": ["3"], "rhs_contracting_dimensions": ["3"], "lhs_batch_dimensions": ["0", "2"], "rhs_batch_dimensions": ["0", "2"]}}}
  %out.1 = bf16[6,2,10,32]{3,1,2,0} get-tuple-element(%fwd.1), index=0
  %statistics.1 = f32[6,2,10]{2,1,0} get-tuple-element(%fwd.1), index=1
  %bwd.1 = (bf16[6,2,10,32]{3,1,2,0}, bf16[6,2,10,32]{3,1,2,0}, bf16[6,2,10,32]{3,1,2,0}, u8[4096]{0}) custom-call(%q.1, %q.1, %q.1, %statistics.1, %out.1, /*index=5*/%out.1), custom_call_target="__cudnn$fmhaSoftmaxBackward", metadata={op_name="jit(step)/while/body/closed_call/transpose(jvp(block))/attention/dot_product_attention_bwd"}, backend_config={"operation_queue_id": "0", "cudnn_fmha_backend_config": {"fmha_scale": 0.125, "intermediate_tensor_shape": {"element_type": "BF16", "dimensions": ["6", "2", "10", "10"], "tuple_shapes": []}, "bmm1_grad_gemm1_dot_dimension_numbers": {"lhs_contracting_dimensions": ["2"], "rhs_contracting_dimensions": ["1"]}}}
  ROOT %t.1 = (s32[], bf16[60,64]{1,0}, bf16[64,128]{1,0}) tuple(%i, %x.1, %w.1)
}

%test (p.3: (s32[], bf16[6,10,64], bf16[64,128])) -> pred[] {
  %p.3 = (s32[], bf16[6,10,64]{2,1,0}, bf16[64,128]{1,0}) parameter(0)
  ROOT %less = pred[] constant(true)
}

ENTRY %main (a: (s32[], bf16[6,10,64], bf16[64,128]), c: f32[8,4], d: f32[4,2], e: f32[3,8,4]) -> f32[8,2] {
  %a = (s32[], bf16[6,10,64]{2,1,0}, bf16[64,128]{1,0}) parameter(0)
  %c = f32[8,4]{1,0} parameter(1)
  %d = f32[4,2]{1,0} parameter(2)
  %e = f32[3,8,4]{2,1,0} parameter(3)
  %while.1 = (s32[], bf16[6,10,64]{2,1,0}, bf16[64,128]{1,0}) while(%a), condition=%test, body=%body, metadata={op_name="jit(step)/while"}, backend_config={"known_trip_count":{"n":"3"}}
  %exact.1 = (f32[3,8,2]{2,1,0}, s8[4194304]{0}) custom-call(%e, %d), custom_call_target="__cublas$gemm", metadata={op_name="jit(step)/jvp(graph)/dot_general"}, backend_config={"gemm_backend_config":{"alpha_real":1,"beta":0,"dot_dimension_numbers":{"lhs_contracting_dimensions":["2"],"rhs_contracting_dimensions":["0"],"lhs_batch_dimensions":[],"rhs_batch_dimensions":[]},"precision_config":{"operand_precision":["HIGHEST","HIGHEST"],"algorithm":"ALG_UNSET"}}}
  %rounded.1 = (f32[3,8,2]{2,1,0}, s8[4194304]{0}) custom-call(%e, %d), custom_call_target="__cublas$gemm", metadata={op_name="jit(step)/jvp(loss)/dot_general"}, backend_config={"gemm_backend_config":{"alpha_real":1,"beta":0,"dot_dimension_numbers":{"lhs_contracting_dimensions":["2"],"rhs_contracting_dimensions":["0"],"lhs_batch_dimensions":[],"rhs_batch_dimensions":[]},"precision_config":{"operand_precision":["DEFAULT","DEFAULT"],"algorithm":"ALG_UNSET"}}}
  %fusion.1 = f32[8,2]{1,0} fusion(%c, %d), kind=kCustom, calls=%fused_dot
  %all-reduce-start.1 = f32[8,2]{1,0} all-reduce-start(%fusion.1), channel_id=1, replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%sum, metadata={op_name="jit(step)/sum_gradients/add"}
  ROOT %all-reduce-done.1 = f32[8,2]{1,0} all-reduce-done(%all-reduce-start.1)
}
"""  # noqa: E501
