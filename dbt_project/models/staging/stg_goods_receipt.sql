{{ stage_entity('goods_receipt') }}
